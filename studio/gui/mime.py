"""What drags within the program carry."""

MIME_NODE_TYPE = "application/x-studio-node-type"
"""The id of a node type in UTF-8."""
MIME_PARAM = "application/x-studio-param"
"""A parameter: ``node.param`` (``group/node.param`` inside a group) in UTF-8."""
