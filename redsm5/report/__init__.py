"""Report models (pydantic), terminal tables and HTML pages."""
