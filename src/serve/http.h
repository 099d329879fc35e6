// An HTTP/1.1 server that knows no model: requests in, whole answers or streams of events out.
// Asio and Beast live in http.cpp alone.
//
// What it promises to every handler and every client:
//   - a request is complete, within the limits below, well formed, and not from a foreign web page;
//   - a client that leaves, or does not read what it is sent, stops its own request and no other;
//   - stop() lets running requests finish, then run() returns.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace shenhong {

using Headers = std::vector<std::pair<std::string, std::string>>;

// The first value of `name` (any case), "" where there is none.
std::string_view find_header(const Headers& headers, std::string_view name);

struct Request {
  std::string method;
  std::string path;   // percent-decoded, without the query and without a trailing slash
  std::string query;  // as it came
  Headers headers;
  std::string body;
  std::string id;  // the client's X-Request-Id, or one of ours
};

struct Response {
  int status = 200;
  std::string body{};
  std::string content_type = "application/json";
  Headers headers{};
};

class Responder;  // responder.h

// Called on one of a few threads that all connections share: it may compute for a moment, what
// takes longer belongs to a thread of its own, to which the Responder can be moved. What it throws
// becomes the answer (api_error.h).
using Handler = std::function<void(const Request&, Responder)>;

// GET also answers HEAD. A path that ends in "*" matches every path with that beginning. Other
// methods of a known path get 405, OPTIONS gets 204, both with Allow; an unknown path gets 404.
struct Route {
  std::string method;
  std::string path;
  Handler handle;
};

struct HttpOptions {
  std::string host = "127.0.0.1";  // an IP address or "localhost"
  int port = 8020;                 // 0: any free one
  size_t max_connections = 512;    // one more gets 503
  size_t max_header_bytes = 16 << 10;
  size_t max_body_bytes = 1 << 20;
  size_t max_unread_bytes = 1 << 20;  // of a stream; a client that lags further behind is dropped

  std::chrono::milliseconds idle_time{60'000};    // between requests
  std::chrono::milliseconds header_time{10'000};  // for the whole head
  std::chrono::milliseconds body_time{30'000};    // for the whole body
  std::chrono::milliseconds write_time{30'000};   // for what is ready to be sent
  std::chrono::milliseconds ping_time{10'000};    // a silent stream gets a comment this often
  std::chrono::milliseconds drain_time{30'000};   // what runs this long after stop() is cancelled
};

class HttpServer {
 public:
  // Binds and listens; clients wait until run(). Error(kUsage) says what to do when the address
  // cannot be had.
  explicit HttpServer(HttpOptions options);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int port() const;

  // Serves on the calling thread until stop(); returns when the last connection is closed.
  void run(std::vector<Route> routes);

  // From any thread. No new connections; requests that are running or already sent finish within
  // drain_time, or are cancelled then.
  void stop();
  bool stopping() const;

  // SIGINT and SIGTERM stop(); the second of them makes run() return at once.
  void stop_on_signals();

 private:
  class Impl;
  class Session;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shenhong
