"""The judge: a small network that sees what a clip shows, and the rules that compare it with what a prompt states."""
