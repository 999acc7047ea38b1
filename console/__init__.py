"""The Django project and its one app: the console people open."""
