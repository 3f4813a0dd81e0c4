"""The one-command run: it starts the real servers, waits for them and stops them.

It needs the standard library only, because it runs before Django knows where its database is.
"""
