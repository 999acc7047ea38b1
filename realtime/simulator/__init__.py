"""The built-in API: the Realtime API on localhost, for people and for tests, with nothing to pay and no key."""
