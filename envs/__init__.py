"""The simulator and its Gymnasium environments; importing this package registers them."""

from gymnasium.envs.registration import register, registry

_ID = "ppuu/DenseTraffic-v0"

# ``gym.make("envs:ppuu/DenseTraffic-v0")`` imports this module again in every worker.
if _ID not in registry:
    register(
        _ID,
        entry_point="envs.dense_traffic:DenseTrafficEnv",
        vector_entry_point="envs.vector:DenseTrafficVectorEnv",
    )
