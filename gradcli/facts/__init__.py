"""Plain values between the work of a verb and its report: what was found, and nothing of how."""
