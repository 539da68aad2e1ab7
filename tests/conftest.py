"""Puts this folder on sys.path, so that tests share helpers: `from official import toy`."""
