#pragma once

#include <ashlar/tasks.hpp>

/// What a shared library must define to be loaded with `ashlar worker --load lib.so`: names its
/// tasks, as a program's main would before ashlar::init.
///
///   extern "C" void ashlar_name_tasks(ashlar::Tasks& tasks) { tasks.add<simulate>("simulate"); }
extern "C" void ashlar_name_tasks(ashlar::Tasks& tasks);
