#include "serve/responder.h"

#include "core/error.h"

namespace shenhong {
namespace {

std::string_view reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
  }
  return "Unknown";
}

// What a handler puts into a header may come from a request: it must not end the line.
void append_header(std::string& head, std::string_view name, std::string_view value) {
  head.append(name).append(": ");
  for (const char c : value) head += uint8_t(c) < 0x20 || c == 0x7f ? ' ' : c;
  head += "\r\n";
}

}  // namespace

Exchange::Exchange(ExchangeOptions options, std::function<void()> wake)
    : options_(std::move(options)), wake_(std::move(wake)), keep_alive_(options_.keep_alive) {}

std::string Exchange::head(int status, std::string_view content_type,
                           const Headers& headers) const {
  std::string text = fmt::format("HTTP/1.1 {} {}\r\n", status, reason(status));
  append_header(text, "Connection", keep_alive_ ? "keep-alive" : "close");
  append_header(text, "X-Request-Id", options_.request_id);
  append_header(text, "X-Content-Type-Options", "nosniff");
  append_header(text, "Referrer-Policy", "no-referrer");
  append_header(text, "Cache-Control", "no-cache");
  if (!content_type.empty()) append_header(text, "Content-Type", content_type);
  for (const auto& [name, value] : headers) append_header(text, name, value);
  return text;
}

void Exchange::send(const Response& response) {
  {
    const std::lock_guard lock(mutex_);
    if (state_ != State::kWaiting) return;
    state_ = State::kDone;
    const bool bodiless = response.status == 204;
    output_ += head(response.status, bodiless ? "" : response.content_type, response.headers);
    if (!bodiless) append_header(output_, "Content-Length", std::to_string(response.body.size()));
    output_ += "\r\n";
    if (!bodiless && !options_.head) output_ += response.body;
  }
  wake_();
}

void Exchange::start_events() {
  {
    const std::lock_guard lock(mutex_);
    if (state_ != State::kWaiting) return;
    state_ = State::kStreaming;
    if (!options_.http11) keep_alive_ = false;
    // The last one is for nginx, which would otherwise collect the stream before passing it on.
    Headers headers = {{"X-Accel-Buffering", "no"}};
    if (options_.http11) headers.emplace_back("Transfer-Encoding", "chunked");
    output_ += head(200, "text/event-stream; charset=utf-8", headers) + "\r\n";
  }
  wake_();
}

void Exchange::append_chunk(std::string_view bytes) {
  if (options_.head) return;
  if (options_.http11) output_ += fmt::format("{:x}\r\n", bytes.size());
  output_ += bytes;
  if (options_.http11) output_ += "\r\n";
}

bool Exchange::event(std::string_view data) {
  bool fits = false;
  {
    const std::lock_guard lock(mutex_);
    if (state_ != State::kStreaming || (cancel_.stop_requested() && !server_left_)) return false;
    fits = output_.size() + data.size() <= options_.max_unread_bytes;
    if (fits) append_chunk(fmt::format("data: {}\n\n", data));
  }
  if (!fits) {
    cancel_.request_stop();
    abort();
    return false;
  }
  wake_();
  return true;
}

void Exchange::end() {
  {
    const std::lock_guard lock(mutex_);
    if (state_ != State::kStreaming) return;
    state_ = State::kDone;
    if (options_.http11 && !options_.head) output_ += "0\r\n\r\n";
  }
  wake_();
}

void Exchange::abort() {
  {
    const std::lock_guard lock(mutex_);
    if (state_ == State::kDone) return;
    state_ = State::kDone;
    keep_alive_ = false;
  }
  wake_();
}

Exchange::Output Exchange::take() {
  const std::lock_guard lock(mutex_);
  return {std::exchange(output_, {}), state_ == State::kDone, state_ == State::kStreaming,
          keep_alive_};
}

void Exchange::ping() {
  const std::lock_guard lock(mutex_);
  if (state_ == State::kStreaming && output_.empty()) append_chunk(": ping\n\n");
}

void Exchange::server_leaves() {
  {
    const std::lock_guard lock(mutex_);
    server_left_ = !cancel_.stop_requested();
  }
  cancel_.request_stop();
}

bool Exchange::server_left() const {
  const std::lock_guard lock(mutex_);
  return server_left_;
}

Responder::Responder(std::shared_ptr<Exchange> exchange)
    : handle_(std::make_shared<Handle>(std::move(exchange))) {}

void Responder::fail(const ApiError& error) const {
  event(error_json(error));
  end();
  send(error_response(error));
}

Responder::Handle::~Handle() {
  if (!exchange) return;
  exchange->send(error_response(ApiError(500, "internal_error", "the request was dropped")));
  exchange->abort();
}

}  // namespace shenhong
