"""Static files under hashed names, ES modules included, so that browsers keep them for ever and never stale."""

from __future__ import annotations

from django.contrib.staticfiles.storage import HashedFilesMixin
from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStatic(CompressedManifestStaticFilesStorage):
    """Hash every file's name and rewrite ``import … from "./x.js";`` accordingly (off by default in Django 5.2)."""

    support_js_module_import_aggregation = True
    # Only in our own modules: htmx's extensions name files of their source tree that are not there.
    _js_module_import_aggregation_patterns = (
        "console/*.js",
        HashedFilesMixin._js_module_import_aggregation_patterns[1],
    )

    def stored_name(self, name: str) -> str:
        """The hashed name; the plain one where nothing has been collected (tests, runserver)."""
        return super().stored_name(name) if self.hashed_files else name
