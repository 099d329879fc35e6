// The answer to one request, on its way from a handler's thread to the network thread.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>

#include "serve/api_error.h"
#include "serve/http.h"

namespace shenhong {

// What the network side knows of the request that is being answered.
struct ExchangeOptions {
  bool http11 = true;  // else a stream ends with the connection
  bool head = false;   // send no body
  bool keep_alive = true;
  std::string request_id;
  size_t max_unread_bytes = 1 << 20;
};

// Shared by both sides; every member may be called from any thread.
class Exchange {
 public:
  // `wake` is called, without a lock held, whenever take() has something new.
  Exchange(ExchangeOptions options, std::function<void()> wake);

  // The handler's side. The first answer counts, later ones are dropped.
  void send(const Response& response);
  void start_events();
  bool event(std::string_view data);
  void end();
  void abort();  // a stream ends without its last chunk, so that the client sees the break

  // The network side.
  struct Output {
    std::string bytes;  // to be written now
    bool done = false;  // nothing will follow
    bool streaming = false;
    bool keep_alive = true;  // the connection can carry another request
  };
  Output take();
  void ping();
  void client_left() { cancel_.request_stop(); }
  void server_leaves();

  std::stop_token cancelled() const { return cancel_.get_token(); }
  bool server_left() const;

 private:
  enum class State { kWaiting, kStreaming, kDone };
  void append_chunk(std::string_view bytes);
  std::string head(int status, std::string_view content_type, const Headers& headers) const;

  const ExchangeOptions options_;
  const std::function<void()> wake_;
  std::stop_source cancel_;
  mutable std::mutex mutex_;
  State state_ = State::kWaiting;
  std::string output_;
  bool keep_alive_, server_left_ = false;
};

// The handler's end of an Exchange; copies answer the same request. When the last copy goes without
// an answer the client gets 500, or sees its stream break off.
class Responder {
 public:
  explicit Responder(std::shared_ptr<Exchange> exchange);

  // The whole answer.
  void send(const Response& response) const { handle_->exchange->send(response); }

  // 200 and the head of a text/event-stream. Calling it again does nothing.
  void start_events() const { handle_->exchange->start_events(); }
  // One event; `data` holds no line break. Never blocks: one slow reader must not hold up the
  // thread that answers everybody. False when the client is gone or too far behind: it gets nothing
  // more.
  bool event(std::string_view data) const { return handle_->exchange->event(data); }
  void end() const { handle_->exchange->end(); }
  // The error as the whole answer, or as the last event of a stream that has begun.
  void fail(const ApiError& error) const;

  // Requested when the client leaves, or when the server's drain time is over.
  std::stop_token cancelled() const { return handle_->exchange->cancelled(); }
  // The client may still be there: tell it.
  bool server_left() const { return handle_->exchange->server_left(); }

 private:
  struct Handle {
    std::shared_ptr<Exchange> exchange;
    ~Handle();
  };
  std::shared_ptr<Handle> handle_;
};

}  // namespace shenhong
