"""What is shown of results: figures, pages and files, made of plain values."""
