"""What the stages know: importable and testable without DVC."""
