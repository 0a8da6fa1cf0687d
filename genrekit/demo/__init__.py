"""The demo's synthetic music."""
