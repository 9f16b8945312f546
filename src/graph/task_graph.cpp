#include "graph/task_graph.hpp"
