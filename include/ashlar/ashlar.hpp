#pragma once

// Everything that needs the standard library alone. ashlar/eigen.hpp and ashlar/cereal.hpp are
// for programs that use those libraries.
#include <ashlar/array.hpp>
#include <ashlar/codec.hpp>
#include <ashlar/dtype.hpp>
#include <ashlar/error.hpp>
#include <ashlar/future.hpp>
#include <ashlar/graph.hpp>
#include <ashlar/host_array.hpp>
#include <ashlar/plan.hpp>
#include <ashlar/random.hpp>
#include <ashlar/report.hpp>
#include <ashlar/session.hpp>
#include <ashlar/stream.hpp>
#include <ashlar/tasks.hpp>
#include <ashlar/view.hpp>
