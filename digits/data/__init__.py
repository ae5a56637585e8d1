"""The data: reading and writing it, its checks, and the data sets known by checksum."""
