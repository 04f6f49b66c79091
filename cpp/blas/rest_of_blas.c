/* rest_of_blas.c: an empty library. Linking libblas.so.3 with it leaves the entry "needs this library" to be filled in. */
