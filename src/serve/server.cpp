#include "serve/server.h"

#include "core/error.h"
#include "serve/page.h"
#include "serve/responder.h"

namespace shenhong {

void serve(const ServeOptions& options,
           const std::function<void(const std::string& url, const Engine& engine)>& on_ready) {
  // First of all, so that a port in use is known before a large model is loaded.
  HttpServer http(options.http);
  Engine engine(options.model, options.engine);
  const std::unique_ptr<Graph> graph = options.open_graph ? options.open_graph(engine) : nullptr;
  OpenAiService service(generator_of(engine, graph.get(), options.grounding), options.service,
                        [&] { return http.stopping(); });

  std::vector<Route> routes = service.routes();
  const Handler page = [](const Request&, const Responder& r) { r.send(page_response()); };
  routes.push_back({"GET", "/", page});
  routes.push_back({"GET", "/index.html", page});

  http.stop_on_signals();
  const bool any = options.http.host == "0.0.0.0" || options.http.host == "::";
  const bool v6 = !any && options.http.host.find(':') != std::string::npos;
  const std::string host = any  ? "127.0.0.1"
                           : v6 ? "[" + options.http.host + "]"
                                : options.http.host;
  on_ready(fmt::format("http://{}:{}/", host, http.port()), engine);
  http.run(std::move(routes));
}

}  // namespace shenhong
