"""Template tags of the kit; `{% load fleet %}`."""
