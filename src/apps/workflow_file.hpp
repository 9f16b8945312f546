#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "simulate/cluster.hpp"

namespace ashlar::apps {

/// Whether the parsed JSON file is the record of a workflow, rather than a graph of ours.
bool is_workflow(const nlohmann::json& file);

/// The graph of a recorded workflow in WfFormat 1.5 (wfcommons.org/format): `specification` says
/// what its tasks read and write, `execution` how long each took.
///
/// A file is an output of the task that writes it. Files that no task writes are taken to be on
/// every host already. A parent that hands over no file is a dependence without bytes. Tasks whose
/// names differ only in a number at the end, or in what stands in brackets there, are of one
/// kernel. `path` is for errors.
///
/// Errors: BadInput that names the file, the task, and what is expected there.
simulate::Program read_workflow(const std::string& path, const nlohmann::json& file);

}  // namespace ashlar::apps
