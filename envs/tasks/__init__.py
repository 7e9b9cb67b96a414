"""Tasks: what an ego has to do besides driving on, listed by rule from any recording."""
