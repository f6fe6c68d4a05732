"""The window: documents in tabs, docks, menus, settings, and what comes in from elsewhere."""
