"""The simulator and its Gymnasium environments; importing this package registers them."""

from gymnasium.envs.registration import register, registry

from .gym.sites import SITES

_REAL = ("envs.gym.dense_traffic:DenseTrafficEnv", "envs.gym.vector:DenseTrafficVectorEnv")
_IMAGINED = ("envs.gym.dream:DreamEnv", "envs.gym.dream:DreamVectorEnv")


def _register(env_id: str, kinds: tuple[str, str], **arguments: str) -> None:
    # ``gym.make("envs:ppuu/DenseTraffic-v1")`` imports this module again in every worker.
    if env_id not in registry:
        register(env_id, entry_point=kinds[0], vector_entry_point=kinds[1], kwargs=arguments)


_register("ppuu/DenseTraffic-v1", _REAL)
_register("ppuu/Dream-v1", _IMAGINED)
for _site in SITES:
    _register(_site.id, _REAL, recording=_site.recording)
