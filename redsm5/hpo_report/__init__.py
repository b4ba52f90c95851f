"""What a search found: one model of all its numbers, and the page, the Markdown and the JSON that are made of it."""
