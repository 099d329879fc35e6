// A socket on loopback that says exactly what a test wants said, and a server to say it to.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "core/error.h"
#include "serve/http.h"

namespace shenhong {

// How long a test waits for what must come; only a failing test ever does.
inline constexpr std::chrono::seconds kPatience{60};

class RawClient {
 public:
  explicit RawClient(int port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(uint16_t(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval patience{kPatience.count(), 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~RawClient() { close(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool connected() const { return connected_; }
  void close() {
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  }

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;  // refused early; what the server answered is still to be read
      bytes.remove_prefix(size_t(sent));
    }
  }

  // Everything up to and including `end`, or up to the close of the connection.
  std::string read_until(std::string_view end) {
    size_t at;
    while ((at = received_.find(end)) == std::string::npos) {
      char bytes[4096];
      const ssize_t got = ::recv(socket_, bytes, sizeof(bytes), 0);
      if (got <= 0) return std::exchange(received_, {});
      received_.append(bytes, size_t(got));
    }
    std::string out = received_.substr(0, at + end.size());
    received_.erase(0, out.size());
    return out;
  }
  std::string read_all() { return read_until(std::string("\0never\0", 7)); }

  // One answer with a Content-Length, head and body; `head_only` as after HEAD.
  std::string read_answer(bool head_only = false) {
    std::string answer = read_until("\r\n\r\n");
    const size_t at = answer.find("Content-Length: ");
    if (at == std::string::npos || head_only) return answer;
    const size_t length = std::stoul(answer.substr(at + 16));
    while (received_.size() < length) {
      char bytes[4096];
      const ssize_t got = ::recv(socket_, bytes, sizeof(bytes), 0);
      if (got <= 0) break;
      received_.append(bytes, size_t(got));
    }
    answer += received_.substr(0, length);
    received_.erase(0, length);
    return answer;
  }

  std::string ask(std::string_view request) {
    send(request);
    return read_answer();
  }

 private:
  int socket_;
  bool connected_ = false;
  std::string received_;
};

inline std::string get(std::string_view path, std::string_view more_headers = "") {
  return fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", path, more_headers);
}
inline std::string post(std::string_view path, std::string_view body,
                        std::string_view more_headers = "") {
  return fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{}\r\n{}", path,
                     body.size(), more_headers, body);
}

// 0 when it is no answer at all.
inline int status_of(std::string_view answer) {
  return answer.starts_with("HTTP/1.1 ") ? std::stoi(std::string(answer.substr(9, 3))) : 0;
}
inline std::string body_of(std::string_view answer) {
  const size_t at = answer.find("\r\n\r\n");
  return at == answer.npos ? "" : std::string(answer.substr(at + 4));
}

class RunningServer {
 public:
  explicit RunningServer(std::vector<Route> routes, HttpOptions options = {})
      : server_(on_any_port(std::move(options))),
        thread_([this, routes = std::move(routes)] { server_.run(routes); }) {}
  ~RunningServer() {
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }

  int port() const { return server_.port(); }
  HttpServer& http() { return server_; }
  void join() { thread_.join(); }

 private:
  static HttpOptions on_any_port(HttpOptions options) {
    options.port = 0;
    return options;
  }
  HttpServer server_;
  std::thread thread_;
};

}  // namespace shenhong
