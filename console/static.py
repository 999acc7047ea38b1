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
    manifest_strict = False
    """A page without collected files (tests, runserver) links the plain names instead of failing."""
