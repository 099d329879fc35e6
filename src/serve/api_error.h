// Errors as clients of OpenAI's API read them: a status and {"error":{message,type,param,code}}.
#pragma once

#include <exception>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "serve/http.h"

namespace shenhong {

class ApiError : public std::runtime_error {
 public:
  // `code` is stable and for programs, `message` for people; `param` is the field to blame, if any.
  ApiError(int status, std::string code, const std::string& message, std::string param = "")
      : std::runtime_error(message),
        status_(status),
        code_(std::move(code)),
        param_(std::move(param)) {}

  int status() const { return status_; }
  const std::string& code() const { return code_; }
  const std::string& param() const { return param_; }

  Headers headers;                                    // beside the usual ones
  std::vector<std::pair<std::string, long>> numbers;  // more keys of the error object

 private:
  int status_;
  std::string code_, param_;
};

// {"error":{...}} with all four keys.
std::string error_json(const ApiError& error);

// The body above. Clients retry 408, 429 and 5xx by themselves: what would fail again says
// x-should-retry: false, what may pass later says when (Retry-After).
Response error_response(const ApiError& error);

// How an exception of a handler is told to the client. A Bug or an unknown exception is not
// described: its text may hold what is none of the client's business.
ApiError error_of(std::exception_ptr thrown);

}  // namespace shenhong
