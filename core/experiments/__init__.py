"""Methods, tasks and seeds as a grid of cells, each computed once, and the tables and figures of them."""
