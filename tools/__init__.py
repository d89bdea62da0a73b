"""What is made from the code for its documentation; not part of the package."""
