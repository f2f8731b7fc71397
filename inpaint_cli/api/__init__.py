"""All that a plugin may import besides `layers` and `losses`: one module a kind of plugin."""
