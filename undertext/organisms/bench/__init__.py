"""The bench's organisms: families of problems, worlds that read them, and pairs whose right answer is
known."""
