"""The editor: a window that edits a workflow as a value, sends it to a worker and shows what comes back."""
