"""Tables of people: Excel and CSV, read and written without changing their cells, and what cells of labels say."""
