"""Visual question answering by joint embedding: the question by a recurrent cell, the image by a network."""
