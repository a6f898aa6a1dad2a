"""The WebSocket /v1/live: the page that waits for the opening."""
