"""What is seen: rasters, the road's map, image motion, and observations made of them."""
