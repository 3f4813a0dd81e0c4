"""The one-command run: starts, waits for and stops the real servers. Standard library only, because it works
before anything is installed and before Django knows where its database is."""
