"""Roads: from drawings, lane numbers or tracks."""
