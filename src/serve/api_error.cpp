#include "serve/api_error.h"

#include <new>
#include <string_view>

#include "core/error.h"
#include "core/json.h"

namespace shenhong {
namespace {

constexpr std::string_view kRetryAfterSeconds = "2";

std::string_view type_of(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 429:
      return "rate_limit_exceeded";
    case 503:
      return "unavailable_error";
  }
  return status < 500 ? "invalid_request_error" : "server_error";
}

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

}  // namespace

std::string error_json(const ApiError& error) {
  Json body = {{"message", error.what()},
               {"type", type_of(error.status())},
               {"param", text_or_null(error.param())},
               {"code", text_or_null(error.code())}};
  for (const auto& [name, number] : error.numbers) body[name] = number;
  return dump_json({{"error", std::move(body)}});
}

Response error_response(const ApiError& error) {
  Response response{.status = error.status(), .body = error_json(error)};
  response.headers = error.headers;
  switch (error.status()) {
    case 429:
    case 503:
      response.headers.emplace_back("Retry-After", kRetryAfterSeconds);
      break;
    case 408:
      break;
    default:
      response.headers.emplace_back("X-Should-Retry", "false");
  }
  return response;
}

ApiError error_of(std::exception_ptr thrown) {
  try {
    std::rethrow_exception(std::move(thrown));
  } catch (const ApiError& e) {
    return e;
  } catch (const Error& e) {
    const bool clients = e.code() == Exit::kUsage || e.code() == Exit::kBadInput;
    return ApiError(clients ? 400 : 500, clients ? "invalid_value" : "internal_error", e.what());
  } catch (const std::bad_alloc&) {
    return ApiError(500, "out_of_memory", "the server has not enough memory for this request");
  } catch (...) {
    return ApiError(500, "internal_error", "the server failed; this is our bug, please report it");
  }
}

}  // namespace shenhong
