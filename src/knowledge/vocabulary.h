// The IRIs that mean something to the program. knowledge/relations.ttl shows them in use.
#pragma once

#include <array>
#include <string_view>

namespace shenhong::iri {

inline constexpr std::string_view kType = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type";
inline constexpr std::string_view kLabel = "http://www.w3.org/2000/01/rdf-schema#label";
inline constexpr std::string_view kAltLabel = "http://www.w3.org/2004/02/skos/core#altLabel";
inline constexpr std::string_view kSource = "http://purl.org/dc/terms/source";
inline constexpr std::string_view kFunctional = "http://www.w3.org/2002/07/owl#FunctionalProperty";
inline constexpr std::string_view kInteger = "http://www.w3.org/2001/XMLSchema#integer";
inline constexpr std::string_view kYear = "http://www.w3.org/2001/XMLSchema#gYear";

// How a graph describes its relations; see knowledge/relations.ttl.
inline constexpr std::string_view kCue = "urn:shenhong:schema:cue";
inline constexpr std::string_view kWeakCue = "urn:shenhong:schema:weakCue";
inline constexpr std::string_view kInverseLabel = "urn:shenhong:schema:inverseLabel";
inline constexpr std::string_view kInverseCue = "urn:shenhong:schema:inverseCue";
inline constexpr std::string_view kQuestion = "urn:shenhong:schema:question";

// What names an entity, the preferred name first.
inline constexpr std::array<std::string_view, 6> kNames = {
    kLabel,
    kAltLabel,
    "http://www.w3.org/2004/02/skos/core#prefLabel",
    "http://schema.org/name",
    "http://schema.org/alternateName",
    "http://xmlns.com/foaf/0.1/name"};

// Names in plain tables become IRIs under these.
inline constexpr std::string_view kEntityBase = "urn:shenhong:entity:";
inline constexpr std::string_view kRelationBase = "urn:shenhong:relation:";

}  // namespace shenhong::iri
