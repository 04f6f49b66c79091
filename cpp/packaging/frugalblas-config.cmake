# frugalblas-config.cmake: frugalblas::frugalblas, the C library, and frugalblas::blas, sgemm, sgemv and ssyrk under
# their BLAS names. Relocatable: everything is found from where this file lies.
get_filename_component(_frugalblas_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
if(NOT TARGET frugalblas::frugalblas)
  add_library(frugalblas::frugalblas SHARED IMPORTED)
  set_target_properties(frugalblas::frugalblas PROPERTIES
    IMPORTED_LOCATION "${_frugalblas_prefix}/libfrugalblas.so"
    INTERFACE_INCLUDE_DIRECTORIES "${_frugalblas_prefix}/include")
  add_library(frugalblas::blas SHARED IMPORTED)
  set_target_properties(frugalblas::blas PROPERTIES
    IMPORTED_LOCATION "${_frugalblas_prefix}/libfrugalblas_blas.so"
    IMPORTED_LINK_DEPENDENT_LIBRARIES frugalblas::frugalblas)
endif()
unset(_frugalblas_prefix)
