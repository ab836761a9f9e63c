"""Documents that stand twice: exactly, nearly, or in other words."""
