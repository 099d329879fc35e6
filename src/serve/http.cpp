// GCC cannot show Asio's fences to ThreadSanitizer and warns of each; the locks beside them it
// sees.
#pragma GCC diagnostic ignored "-Wtsan"

#include "serve/http.h"

#include <array>
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <csignal>
#include <optional>
#include <set>

#include "core/error.h"
#include "serve/api_error.h"
#include "serve/host_check.h"
#include "serve/request_head.h"
#include "serve/responder.h"

namespace shenhong {
namespace net = boost::asio;
namespace beast = boost::beast;
using tcp = net::ip::tcp;
using boost::system::error_code;

namespace {

constexpr int kHandlerThreads = 2;
// Read ahead of the running request, for clients that pipeline; beyond it they wait.
constexpr size_t kReadAhead = 16 << 10;
// A client that is still sending when it is refused must be read for a while, or the reset that
// follows a close would take our answer away from it.
constexpr size_t kLingerBytes = 4 << 20;
constexpr std::chrono::seconds kLingerTime{2};
// For saying goodbye, after the drain time.
constexpr std::chrono::seconds kLeaveTime{2};

auto token(error_code& ec) { return net::redirect_error(net::use_awaitable, ec); }

}  // namespace

std::string_view find_header(const Headers& headers, std::string_view name) {
  for (const auto& [key, value] : headers) {
    if (beast::iequals(key, name)) return value;
  }
  return {};
}

class HttpServer::Impl {
 public:
  explicit Impl(HttpOptions given);

  void run(std::vector<Route> routes);
  void stop();
  void stop_on_signals();
  void leave_at_once() { context.stop(); }
  void session_ended(Session* session);
  // The answer that needs no handler, or the handler.
  const Route* find_route(const Request& request, std::optional<Response>& answer) const;

  const HttpOptions options;
  bool loopback = false;
  int port = 0;
  std::atomic<bool> stopping{false};
  std::set<Session*> sessions;
  net::io_context context{1};
  net::thread_pool handlers{kHandlerThreads};
  tcp::acceptor acceptor{context};

 private:
  net::awaitable<void> accept();
  net::awaitable<void> drain();
  net::awaitable<void> await_signals();
  void finish();

  std::vector<Route> routes_;
  net::steady_timer drain_timer_{context};
  net::signal_set signals_{context};
};

// One connection: requests one after the other. Lives on the network thread.
class HttpServer::Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Impl& server, tcp::socket socket) : server_(server), socket_(std::move(socket)) {
    server_.sessions.insert(this);
  }
  ~Session() { server_.session_ended(this); }

  net::awaitable<void> run();
  net::awaitable<void> turn_away();

  // The server stops: a connection without a request has no reason to stay.
  void stop() {
    if (idle_) socket_.cancel();
  }
  void server_leaves() {
    if (exchange_) exchange_->server_leaves();
  }

 private:
  using Parser = beast::http::request_parser<beast::http::string_body>;

  net::awaitable<bool> wait_for_request();
  net::awaitable<bool> read_request(Parser& parser, Request& request);
  net::awaitable<bool> answer(Request request, ExchangeOptions options);
  net::awaitable<void> write_output();
  net::awaitable<void> refuse(const ApiError& error);
  net::awaitable<void> linger();

  void dispatch(std::shared_ptr<const Request> request, std::shared_ptr<Exchange> exchange);
  void watch();
  net::awaitable<void> stop_watching();
  void set_deadline(std::chrono::milliseconds time);
  void clear_deadline() { deadline_.expires_at(net::steady_timer::time_point::max()); }

  Impl& server_;
  tcp::socket socket_;
  beast::flat_buffer buffer_;
  net::steady_timer deadline_{server_.context}, wake_{server_.context};
  std::shared_ptr<Exchange> exchange_;  // of the request that is being answered
  bool idle_ = false, watching_ = false, late_ = false, broken_ = false;
  bool half_closed_ = false;
};

void HttpServer::Session::set_deadline(std::chrono::milliseconds time) {
  late_ = false;
  deadline_.expires_after(time);
  deadline_.async_wait([self = shared_from_this()](error_code ec) {
    // A wait that had already ended when the deadline was moved reports success all the same.
    if (ec || self->deadline_.expiry() > net::steady_timer::clock_type::now()) return;
    self->late_ = true;
    self->socket_.cancel();
    self->wake_.cancel();
  });
}

net::awaitable<void> HttpServer::Session::run() {
  const auto self = shared_from_this();
  bool goes_on = true;
  while (goes_on && co_await wait_for_request()) {
    Parser parser;
    Request request;
    if (!co_await read_request(parser, request)) break;
    ExchangeOptions options;
    options.http11 = parser.get().version() >= 11;
    options.head = request.method == "HEAD";
    options.keep_alive = parser.keep_alive() && !server_.stopping;
    options.request_id = request.id;
    options.max_unread_bytes = server_.options.max_unread_bytes;
    goes_on = co_await answer(std::move(request), std::move(options));
  }
  clear_deadline();
  error_code ignored;
  socket_.close(ignored);
}

// False when the client closed, stayed silent for too long, or the server stops.
net::awaitable<bool> HttpServer::Session::wait_for_request() {
  if (buffer_.size() > 0) co_return true;
  if (server_.stopping) co_return false;
  error_code ec;
  idle_ = true;
  set_deadline(server_.options.idle_time);
  co_await socket_.async_wait(tcp::socket::wait_read, token(ec));
  clear_deadline();
  idle_ = false;
  co_return !ec;
}

// Fills `request`; false when the client got an error instead and the connection must end, because
// where its next request would begin is not certain.
net::awaitable<bool> HttpServer::Session::read_request(Parser& parser, Request& request) {
  const HttpOptions& limits = server_.options;
  parser.header_limit(uint32_t(limits.max_header_bytes));
  parser.body_limit(limits.max_body_bytes);
  error_code ec;
  set_deadline(limits.header_time);
  co_await beast::http::async_read_header(socket_, buffer_, parser, token(ec));
  clear_deadline();
  const auto failed = [&]() -> std::optional<ApiError> {
    using beast::http::error;
    if (!ec) return std::nullopt;
    if (late_) return ApiError(408, "request_timeout", "the request did not arrive in time");
    if (ec == error::header_limit || ec == error::buffer_overflow) {
      return ApiError(431, "header_too_large",
                      fmt::format("headers: more than {} bytes", limits.max_header_bytes));
    }
    if (ec == error::body_limit) {
      return ApiError(413, "body_too_large",
                      fmt::format("body: more than {} bytes", limits.max_body_bytes));
    }
    if (ec.category() == make_error_code(error::bad_method).category() &&
        ec != error::end_of_stream && ec != error::partial_message) {
      return ApiError(400, "malformed_request", "not an HTTP/1.1 request: " + ec.message());
    }
    return std::nullopt;  // the client has gone
  };
  if (ec) {
    if (const auto error = failed()) co_await refuse(*error);
    co_return false;
  }

  const auto& head = parser.get();
  request.method = std::string(head.method_string());
  for (const auto& field : head) {
    request.headers.emplace_back(field.name_string(), field.value());
  }
  const char* foreign = foreign_request(find_header(request.headers, "Host"),
                                        find_header(request.headers, "Origin"), server_.loopback);
  if (const char* wrong = ambiguous_head(request.headers, head.version() >= 11)) {
    co_await refuse(ApiError(400, "malformed_request", wrong));
    co_return false;
  }
  if (foreign) {
    co_await refuse(ApiError(403, "foreign_request",
                             fmt::format("{}: {}: a page of another site sent this; open the "
                                         "address that the server printed",
                                         foreign, find_header(request.headers, foreign))));
    co_return false;
  }
  if (!parse_target(head.target(), request.path, request.query)) {
    co_await refuse(ApiError(400, "malformed_request", "the target is not a path"));
    co_return false;
  }
  request.id = request_id(find_header(request.headers, "X-Request-Id"));

  if (beast::iequals(find_header(request.headers, "Expect"), "100-continue") && !parser.is_done()) {
    set_deadline(limits.write_time);
    static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    co_await net::async_write(socket_, net::buffer(kContinue), token(ec));
    if (ec) co_return false;
  }
  set_deadline(limits.body_time);
  co_await beast::http::async_read(socket_, buffer_, parser, token(ec));
  clear_deadline();
  if (ec) {
    if (const auto error = failed()) co_await refuse(*error);
    co_return false;
  }
  request.body = std::move(parser.get().body());
  co_return true;
}

// Returns whether the connection can carry another request.
net::awaitable<bool> HttpServer::Session::answer(Request request, ExchangeOptions options) {
  const auto wake = [weak = weak_from_this(), executor = server_.context.get_executor()] {
    net::post(executor, [weak] {
      if (const auto self = weak.lock()) self->wake_.cancel();
    });
  };
  exchange_ = std::make_shared<Exchange>(std::move(options), wake);
  broken_ = half_closed_ = late_ = false;
  watch();
  dispatch(std::make_shared<const Request>(std::move(request)), exchange_);
  co_await write_output();
  co_await stop_watching();
  const bool goes_on = !broken_ && exchange_->take().keep_alive;
  if (broken_) exchange_->client_left();
  exchange_.reset();
  if (!goes_on && !broken_) co_await linger();
  co_return goes_on;
}

void HttpServer::Session::dispatch(std::shared_ptr<const Request> request,
                                   std::shared_ptr<Exchange> exchange) {
  std::optional<Response> answer;
  const Route* route = server_.find_route(*request, answer);
  if (answer) return exchange->send(*answer);
  net::post(server_.handlers, [route, request, exchange] {
    const Responder responder(exchange);
    try {
      route->handle(*request, responder);
    } catch (...) {
      responder.fail(error_of(std::current_exception()));
    }
  });
}

// Sends what the handler's side produces until it is done or the connection breaks (broken_).
net::awaitable<void> HttpServer::Session::write_output() {
  error_code ec;
  for (;;) {
    Exchange::Output output = exchange_->take();
    if (!output.bytes.empty()) {
      set_deadline(server_.options.write_time);
      co_await net::async_write(socket_, net::buffer(output.bytes), token(ec));
      half_closed_ ? set_deadline(kLingerTime) : clear_deadline();
      if (ec) break;
      continue;
    }
    if (output.done) co_return;
    if (late_ || broken_) break;
    wake_.expires_after(output.streaming ? server_.options.ping_time : std::chrono::hours(24));
    co_await wake_.async_wait(token(ec));
    if (!ec) exchange_->ping();
  }
  broken_ = true;
}

// While a request is being answered, reading serves to notice that the client has gone. What comes
// is the next, pipelined request. A client that only closed its sending half still gets what is on
// the way, for a moment; its unfinished work is cancelled, since most who close this half are gone.
void HttpServer::Session::watch() {
  if (buffer_.size() >= kReadAhead) return;
  watching_ = true;
  const auto on_read = [self = shared_from_this()](error_code ec, size_t bytes) {
    self->watching_ = false;
    self->wake_.cancel();
    if (ec == net::error::operation_aborted) return;
    if (!ec) {
      self->buffer_.commit(bytes);
      return self->watch();
    }
    self->exchange_->client_left();
    self->broken_ = ec != net::error::eof;
    self->half_closed_ = true;
    self->set_deadline(kLingerTime);
  };
  socket_.async_read_some(buffer_.prepare(4096), on_read);
}

net::awaitable<void> HttpServer::Session::stop_watching() {
  error_code ec;
  while (watching_) {
    socket_.cancel(ec);
    wake_.expires_after(std::chrono::hours(24));
    co_await wake_.async_wait(token(ec));
  }
}

net::awaitable<void> HttpServer::Session::refuse(const ApiError& error) {
  ExchangeOptions options;
  options.keep_alive = false;
  options.request_id = request_id("");
  Exchange exchange(std::move(options), [] {});
  exchange.send(error_response(error));
  const std::string bytes = exchange.take().bytes;
  error_code ec;
  set_deadline(server_.options.write_time);
  co_await net::async_write(socket_, net::buffer(bytes), token(ec));
  if (!ec) co_await linger();
}

net::awaitable<void> HttpServer::Session::linger() {
  error_code ec;
  socket_.shutdown(tcp::socket::shutdown_send, ec);
  set_deadline(kLingerTime);
  std::array<char, 8192> sink;
  for (size_t read = 0; !ec && read < kLingerBytes;) {
    read += co_await socket_.async_read_some(net::buffer(sink), token(ec));
  }
  clear_deadline();
}

net::awaitable<void> HttpServer::Session::turn_away() {
  const auto self = shared_from_this();
  co_await refuse(ApiError(503, "too_many_connections",
                           fmt::format("connections: {} are open, the most that are served",
                                       server_.options.max_connections)));
  clear_deadline();
}

HttpServer::Impl::Impl(HttpOptions given) : options(std::move(given)) {
  error_code ec;
  const auto address =
      net::ip::make_address(options.host == "localhost" ? "127.0.0.1" : options.host, ec);
  SH_CHECK(!ec, kUsage, "--host {}: want an IP address such as 127.0.0.1, or localhost",
           options.host);
  SH_CHECK(options.port >= 0 && options.port <= 65535, kUsage, "--port {}: want 0..65535",
           options.port);
  loopback = address.is_loopback();
  const tcp::endpoint endpoint(address, uint16_t(options.port));
  acceptor.open(endpoint.protocol(), ec);
  if (!ec) acceptor.set_option(net::socket_base::reuse_address(true), ec);
  if (!ec) acceptor.bind(endpoint, ec);
  if (!ec) acceptor.listen(net::socket_base::max_listen_connections, ec);
  SH_CHECK(ec != net::error::address_in_use, kUsage,
           "{}:{} is in use, perhaps by another shenhong serve; stop it or choose --port {}",
           options.host, options.port, options.port == 65535 ? 8020 : options.port + 1);
  SH_CHECK(ec != net::error::access_denied, kUsage,
           "{}:{}: not allowed for this user; choose a --port from 1024 on", options.host,
           options.port);
  SH_CHECK(!ec, kUsage, "{}:{}: cannot listen there: {}", options.host, options.port, ec.message());
  port = acceptor.local_endpoint().port();
}

net::awaitable<void> HttpServer::Impl::accept() {
  while (!stopping) {
    error_code ec;
    tcp::socket socket(context);
    co_await acceptor.async_accept(socket, token(ec));
    if (stopping) break;
    if (ec) {
      // Out of descriptors, or a client that left meanwhile: give the others time to close.
      net::steady_timer pause(context, std::chrono::milliseconds(100));
      co_await pause.async_wait(token(ec));
      continue;
    }
    socket.set_option(tcp::no_delay(true), ec);
    const bool room = sessions.size() < options.max_connections;
    const auto session = std::make_shared<Session>(*this, std::move(socket));
    net::co_spawn(context, room ? session->run() : session->turn_away(), net::detached);
  }
}

const Route* HttpServer::Impl::find_route(const Request& request,
                                          std::optional<Response>& answer) const {
  const std::string_view method =
      request.method == "HEAD" ? "GET" : std::string_view(request.method);
  std::string allowed;
  for (const Route& route : routes_) {
    const bool tail = route.path.ends_with('*');
    const std::string_view fixed(route.path.data(), route.path.size() - tail);
    if (tail ? !request.path.starts_with(fixed) || request.path == fixed : request.path != fixed) {
      continue;
    }
    if (route.method == method) return &route;
    allowed += route.method == "GET" ? "GET, HEAD, " : route.method + ", ";
  }
  if (allowed.empty()) {
    answer = error_response(ApiError(404, "not_found", "no such path: " + request.path));
    return nullptr;
  }
  allowed += "OPTIONS";
  if (request.method == "OPTIONS") {
    answer = Response{.status = 204, .headers = {{"Allow", allowed}}};
  } else {
    ApiError error(405, "method_not_allowed",
                   fmt::format("{} {}: allowed are {}", request.method, request.path, allowed));
    error.headers = {{"Allow", allowed}};
    answer = error_response(error);
  }
  return nullptr;
}

void HttpServer::Impl::run(std::vector<Route> routes) {
  routes_ = std::move(routes);
  net::co_spawn(context, accept(), net::detached);
  context.run();
  stopping = true;
  for (Session* session : sessions) session->server_leaves();  // only after leave_at_once()
  handlers.join();
}

void HttpServer::Impl::stop() {
  net::post(context, [this] {
    if (stopping.exchange(true)) return;
    error_code ignored;
    acceptor.close(ignored);
    if (sessions.empty()) return finish();
    for (Session* session : sessions) session->stop();
    net::co_spawn(context, drain(), net::detached);
  });
}

net::awaitable<void> HttpServer::Impl::drain() {
  error_code ec;
  drain_timer_.expires_after(options.drain_time);
  co_await drain_timer_.async_wait(token(ec));
  if (sessions.empty()) co_return;
  for (Session* session : sessions) session->server_leaves();
  drain_timer_.expires_after(kLeaveTime);
  co_await drain_timer_.async_wait(token(ec));
  if (!sessions.empty()) leave_at_once();
}

void HttpServer::Impl::session_ended(Session* session) {
  sessions.erase(session);
  if (stopping && sessions.empty() && !context.stopped()) finish();
}

// Nothing is left to do: what still waits must not keep run() from returning.
void HttpServer::Impl::finish() {
  drain_timer_.cancel();
  error_code ignored;
  signals_.cancel(ignored);
}

void HttpServer::Impl::stop_on_signals() {
  signals_.add(SIGINT);
  signals_.add(SIGTERM);
  net::co_spawn(context, await_signals(), net::detached);
}

net::awaitable<void> HttpServer::Impl::await_signals() {
  error_code ec;
  co_await signals_.async_wait(token(ec));
  if (ec) co_return;
  stop();
  co_await signals_.async_wait(token(ec));
  if (!ec) leave_at_once();
}

HttpServer::HttpServer(HttpOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
HttpServer::~HttpServer() = default;

int HttpServer::port() const { return impl_->port; }
void HttpServer::run(std::vector<Route> routes) { impl_->run(std::move(routes)); }
void HttpServer::stop() { impl_->stop(); }
bool HttpServer::stopping() const { return impl_->stopping; }
void HttpServer::stop_on_signals() { impl_->stop_on_signals(); }

}  // namespace shenhong
