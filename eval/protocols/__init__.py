"""Rules of evaluation other than this project's own."""
