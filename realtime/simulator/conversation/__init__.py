"""The items of a conversation, their tokens, and the jobs that work on them."""
