// Expanded or flattened JSON-LD (JSON-LD 1.1, sections 9.1 and 9.4): every name is an IRI already,
// so no
// @context is needed, and none is ever fetched.
#include "core/error.h"
#include "core/json.h"
#include "knowledge/import.h"
#include "knowledge/vocabulary.h"

namespace shenhong {
namespace {

class JsonLdReader {
 public:
  JsonLdReader(const std::string& source, const FactSink& sink)
      : provenance_{source, 1, "", ""}, sink_(sink) {}

  void node(int64_t number, const Json& json) {
    const auto reject = [&](const std::string& fault) {
      sink_.reject(number, fault, dump_json(json));
    };
    Term subject;
    if (!json.is_object() || !json.contains("@id") || !as_node(json["@id"], subject))
      return reject("a node without an @id that is an IRI or _:blank");
    for (const auto& [key, values] : json.items()) {
      if (key == "@id") continue;
      const bool type = key == "@type";
      if (!type && iri_fault(key)) {
        reject(fmt::format("'{}' is no IRI: expand the document first", key));
        continue;
      }
      const Term predicate = Term::iri(type ? std::string(iri::kType) : key);
      for (const Json& value : values.is_array() ? values : Json::array({values})) {
        Term object;
        const bool fits = type ? as_node(value, object) : as_object(value, object);
        if (fits)
          sink_.add({subject, predicate, object, {}}, provenance_);
        else
          reject(fmt::format("'{}' has a value that is no @id and no @value", key));
      }
    }
  }

 private:
  static bool as_node(const Json& json, Term& term) {
    if (!json.is_string()) return false;
    const std::string& text = json.get_ref<const std::string&>();
    if (text.starts_with("_:") && text.size() > 2) {
      term = {Term::Kind::kBlank, text.substr(2), "", ""};
      return true;
    }
    term = Term::iri(text);
    return !iri_fault(text);
  }

  static bool as_object(const Json& json, Term& term) {
    if (!json.is_object()) return false;
    if (json.contains("@id")) return as_node(json["@id"], term);
    const auto value = json.find("@value");
    if (value == json.end()) return false;
    if (value->is_number_integer())
      term = Term::integer(value->get<long long>());
    else if (value->is_string())
      term = Term::text(value->get<std::string>());
    else
      return false;
    if (const auto language = json.find("@language"); language != json.end()) {
      if (!language->is_string() || !is_language_tag(language->get_ref<const std::string&>()))
        return false;
      term.language = language->get<std::string>();
      for (char& c : term.language) c = char(tolower(uint8_t(c)));
    } else if (const auto type = json.find("@type"); type != json.end()) {
      if (!type->is_string() || iri_fault(type->get_ref<const std::string&>())) return false;
      term.datatype = type->get<std::string>();
    }
    return true;
  }

  Provenance provenance_;
  const FactSink& sink_;
};

}  // namespace

void read_jsonld(const fs::path& file, const std::string& default_source, const FactSink& sink) {
  const Json json = parse_json(read_file(file), file.string());
  SH_CHECK(!json.is_object() || !json.contains("@context"), kBadInput,
           "{}: has an @context; only expanded or flattened JSON-LD is read, and no context is "
           "ever fetched",
           file.string());
  const Json* nodes = &json;
  if (json.is_object() && json.contains("@graph")) nodes = &json["@graph"];
  SH_CHECK(nodes->is_array(), kBadInput,
           "{}: want a list of nodes, or an object with a list @graph", file.string());
  JsonLdReader reader(default_source, sink);
  int64_t number = 0;
  for (const Json& node : *nodes) reader.node(++number, node);
}

}  // namespace shenhong
