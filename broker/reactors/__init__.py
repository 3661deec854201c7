"""What the server does by itself, in bounded commands, one module each."""
