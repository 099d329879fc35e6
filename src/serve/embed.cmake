# Puts web/dist/index.html into the serve library, as the bytes behind page_html().
#   include(src/serve/embed.cmake)          after the target shenhong_serve is made
#   cmake -DINPUT=... -DOUTPUT=... -P ...   the step that the build then runs
if(CMAKE_SCRIPT_MODE_FILE)
  file(READ ${INPUT} bytes HEX)
  string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  file(WRITE ${OUTPUT} "#include \"serve/page.h\"

namespace shenhong {
namespace {

constexpr unsigned char kPage[] = {
${bytes}};

}  // namespace

std::string_view page_html() { return {reinterpret_cast<const char*>(kPage), sizeof(kPage)}; }

}  // namespace shenhong
")
  return()
endif()

set(page ${CMAKE_SOURCE_DIR}/web/dist/index.html)
if(NOT EXISTS ${page})
  message(FATAL_ERROR "${page} is missing: git checkout web/dist, or build it: cd web && npm ci && npm run build")
endif()
add_custom_command(
  OUTPUT ${CMAKE_BINARY_DIR}/page_html.cpp
  COMMAND ${CMAKE_COMMAND} -DINPUT=${page} -DOUTPUT=${CMAKE_BINARY_DIR}/page_html.cpp -P ${CMAKE_CURRENT_LIST_FILE}
  DEPENDS ${page} ${CMAKE_CURRENT_LIST_FILE}
  COMMENT "Embedding the page")
target_sources(shenhong_serve PRIVATE ${CMAKE_BINARY_DIR}/page_html.cpp)
