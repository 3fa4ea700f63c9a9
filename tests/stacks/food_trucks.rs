//! docker/food-trucks: Flask and a search server that starts slowly.
