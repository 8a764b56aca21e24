"""The recurrent layer: runs any cell over time, dense or on images, on one of several engines."""
